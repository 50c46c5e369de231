-- The messages upwards from one to the one that a summary reaches, which isn't among them, newest first.
-- Answers that have no text are left out, as they are from prompts.
WITH RECURSIVE branch (id, parent, depth) AS (
    SELECT id, parent, 0
    FROM messages
    WHERE id = :message AND conversation = :conversation AND id <> :reached
    UNION ALL
    SELECT messages.id, messages.parent, branch.depth + 1
    FROM branch
    JOIN messages ON messages.id = branch.parent
    WHERE messages.id <> :reached AND branch.depth + 1 < :most
)
SELECT branch.id
FROM branch
JOIN messages ON messages.id = branch.id
WHERE messages.content <> ''
ORDER BY branch.depth
