with tokens as (
    delete from flowstone.tokens where tokens.run_id = $1
)
delete from flowstone.waits where waits.run_id = $1
