-- $1: a pipeline; $2: a name.
select version, token, answer::text from flowstone.automations where pipeline = $1 and name = $2
