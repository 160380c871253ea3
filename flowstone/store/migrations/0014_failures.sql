-- The partitions of an asset that failed last are found among its failures, of which there are few.

create index materializations_failed on flowstone.materializations (asset, key, arrival)
    where kept and status = 'failed';
