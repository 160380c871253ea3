select pg_notify('flowstone', $1)
