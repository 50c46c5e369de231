-- The branch upwards from a message, newest first, as a prompt needs it: who said what, and the system prompt.
WITH RECURSIVE branch (parent, role, content, depth) AS (
    SELECT parent, role, content, 0
    FROM messages
    WHERE id = :message AND conversation = :conversation
    UNION ALL
    SELECT messages.parent, messages.role, messages.content, branch.depth + 1
    FROM branch
    JOIN messages ON messages.id = branch.parent
    WHERE branch.depth + 1 < :most
)
SELECT conversations.system, branch.role, branch.content
FROM branch
JOIN conversations ON conversations.id = :conversation
ORDER BY branch.depth
