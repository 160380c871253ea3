-- $1: pipeline and $2: name of a follower; of each that was delivered $3: the lane, $4: the number.
select flowstone.delivered($1, $2, $3::text[], $4::bigint[])
