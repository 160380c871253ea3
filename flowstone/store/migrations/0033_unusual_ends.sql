-- The partitions that failed, were skipped or were cancelled last are found among the records of these, which are few.

drop index flowstone.materializations_failed;
create index materializations_without_value on flowstone.materializations (asset, key, arrival)
    where kept and status in ('failed', 'skipped', 'cancelled');
