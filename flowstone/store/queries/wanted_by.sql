-- $1: a node. The runs that callers on it want, or wanted when it ended.
select distinct callers.run_id from flowstone.callers where callers.node = $1 and not callers.gone limit 1000
