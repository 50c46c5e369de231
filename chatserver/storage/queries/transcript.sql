-- The branch upwards from a message, newest first, as a prompt needs it: who said what, what it counts, and the
-- system prompt.
WITH RECURSIVE branch (id, parent, role, content, depth, tokens, counter, place) AS (
    SELECT id, parent, role, content, depth, tokens, counter, 0
    FROM messages
    WHERE id = :message AND conversation = :conversation
    UNION ALL
    SELECT
        messages.id, messages.parent, messages.role, messages.content, messages.depth, messages.tokens,
        messages.counter, branch.place + 1
    FROM branch
    JOIN messages ON messages.id = branch.parent
    WHERE branch.place + 1 < :most
)
SELECT
    conversations.system, branch.id, branch.role, branch.content, branch.depth, branch.tokens, branch.counter
FROM branch
JOIN conversations ON conversations.id = :conversation
ORDER BY branch.place
