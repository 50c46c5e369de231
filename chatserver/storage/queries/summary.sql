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
        AND EXISTS (SELECT 1 FROM summaries WHERE summaries.conversation = :conversation)
    UNION ALL
    SELECT
        messages.parent,
        (SELECT max(summaries.id) FROM summaries WHERE summaries.message = messages.id),
        branch.depth + 1
    FROM branch
    JOIN messages ON messages.id = branch.parent
    WHERE branch.summary IS NULL AND branch.depth + 1 < :most
)
SELECT summaries.id, summaries.conversation, summaries.message, summaries.covers, summaries.text,
    summaries.by_hand, summaries.created_at
FROM branch
JOIN summaries ON summaries.id = branch.summary
