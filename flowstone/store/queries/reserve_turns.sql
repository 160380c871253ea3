-- $1: rates, $2: seconds between two turns, $3: turns wanted, $4: seconds before which none is of use.
select rate, here, first, turns from flowstone.reserve_turns($1, $2, $3, $4)
