-- The newest summary of the nearest message that has one, upwards from a message: it is valid there.
-- The walk ends at it, so it reads what a window shows and some more; where none was made, it isn't begun.
WITH RECURSIVE branch (parent, summary, depth) AS (
    SELECT
        messages.parent,
        (SELECT max(summaries.id) FROM summaries WHERE summaries.message = messages.id),
        0
    FROM messages
    WHERE
        messages.id = :message
        AND messages.conversation = :conversation
        -- Not EXISTS, for which a planner that expects many may read the table from its start.
        AND (SELECT max(summaries.id) FROM summaries WHERE summaries.conversation = :conversation) IS NOT NULL
    UNION ALL
    SELECT
        messages.parent,
        (SELECT max(summaries.id) FROM summaries WHERE summaries.message = messages.id),
        branch.depth + 1
    FROM branch
    JOIN messages ON messages.id = branch.parent
    WHERE branch.summary IS NULL AND branch.depth + 1 < :most
)
SELECT id, conversation, message, covers, text, by_hand, created_at
FROM summaries
-- Only the last message of the walk has one.
WHERE id = (SELECT max(branch.summary) FROM branch)
