-- $1: seconds after which one that is gone is forgotten.
delete from flowstone.automations where gone_at < clock_timestamp() - make_interval(secs => $1)
