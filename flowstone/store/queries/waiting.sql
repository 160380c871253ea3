-- Runs in the queue by pipeline, and how long the first of them has been there, for people.
select queue.entrypoint as pipeline, count(*) as runs,
    coalesce(extract(epoch from clock_timestamp() - min(queue.created)), 0)::double precision as seconds
from flowstone.queue where queue.status = 'queued' group by queue.entrypoint order by queue.entrypoint
