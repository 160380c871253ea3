-- $1: the run. Its attempts on other nodes whose ends cannot be recorded, and why.
select held.asset, held.key, held.attempt, held.refused from flowstone.step_leases as held
where held.run_id = $1 and held.refused is not null
