-- $1: a node that is gone.
select flowstone.forget_claims($1)
