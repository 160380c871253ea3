-- Large ones are left out, to be asked for one at a time; their lengths are known without reading them.
select location, case when octet_length(content) <= 65536 then content end as content
from flowstone.payloads where location = any ($1::text[])
