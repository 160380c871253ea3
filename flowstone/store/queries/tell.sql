-- $1: notifications.
select pg_notify('flowstone', told.text) from unnest($1::text[]) as told(text)
