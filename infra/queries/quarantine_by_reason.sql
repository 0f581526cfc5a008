-- Quarantined lines of the last 7 days by dataset, field and error code, with an example of the
-- expected and the actual value. A line with several errors counts for each.

select
    lines.dataset,
    lines.failure.kind as failed_at,
    reasons.field,
    reasons.code,
    count(*) as mistakes,
    arbitrary(reasons.expected) as expected,
    arbitrary(reasons.actual) as actual,
    min(lines.dt) as first_day,
    max(lines.dt) as last_day
from ${quarantine}.lines as lines
-- by field, as engines differ in whether they take a list of rows apart
cross join unnest(
    transform(lines.failure.reasons, reason -> reason.field),
    transform(lines.failure.reasons, reason -> reason.code),
    transform(lines.failure.reasons, reason -> reason.expected),
    transform(lines.failure.reasons, reason -> reason.actual)
) as reasons (field, code, expected, actual)
where lines.dt >= current_date - interval '7' day
group by
    lines.dataset,
    lines.failure.kind,
    reasons.field,
    reasons.code
order by mistakes desc
