-- Runs are found by the asset that was asked for, and by their tags.

create index runs_asset on flowstone.runs (asset, status, arrival);

-- Most runs have no tags, and cost this index nothing.
create index runs_tags on flowstone.runs using gin (((request -> 'tags')::jsonb)) where request -> 'tags' is not null;
