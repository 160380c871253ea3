select held.run_id, held.asset, held.key, held.attempt, held.epoch, held.node, held.failed, held.cancelled
from flowstone.step_leases as held where held.run_id = $1 order by held.granted
