-- $1: a run, which its owner is about to cancel.
update flowstone.runs set cancelling = true where runs.id = $1 and runs.finish_order is null and not runs.cancelling
