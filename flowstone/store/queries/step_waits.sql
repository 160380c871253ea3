-- $1: asset, $2: key.
select exists (
    select from flowstone.waits where waits.asset = $1 and waits.key = $2 and waits.status = 'open'
) as waiting
