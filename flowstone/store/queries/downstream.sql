-- $1: assets, $2: their keys. An edge counts while the success it belongs to is the current one.
select distinct wanted.asset, wanted.key, inputs.consumer, inputs.consumer_key
from unnest($1::text[], $2::text[]) as wanted(asset, key)
join flowstone.inputs using (asset, key)
join flowstone.current as user_of on user_of.asset = inputs.consumer and user_of.key = inputs.consumer_key
    and user_of.run_id = inputs.run_id and user_of.valid
order by wanted.asset, wanted.key, inputs.consumer, inputs.consumer_key
