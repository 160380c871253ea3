select current.key from flowstone.current where current.asset = $1 and current.valid order by current.key
