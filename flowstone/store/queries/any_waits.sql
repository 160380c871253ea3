select exists (select from flowstone.waits where waits.status = 'open' and waits.asset >= '') as waiting
