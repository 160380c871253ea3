-- $1: the run, $2: asset, $3: key. What the waits of a step were answered with.
select waits.name, waits.answer::text from flowstone.waits
where waits.run_id = $1 and waits.asset = $2 and waits.key = $3 and waits.status <> 'open'
