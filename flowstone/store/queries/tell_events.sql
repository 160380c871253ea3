-- $1: the pipeline; of each event $2: the lane, $3: the kind, $4: the asset, $5: it as JSON; $6: who does not hear of it.
select flowstone.tell_events($1, $2::text[], $3::text[], $4::text[], $5::text[], $6)
