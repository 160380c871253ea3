-- Items that nobody needs any more stay until their values are deleted, where an IO manager keeps them: nothing else says where.

alter table flowstone.item_sets add column io text collate "C";
alter table flowstone.item_sets add column unneeded integer;
comment on column flowstone.item_sets.io is
    'The IO manager that keeps values of theirs; null: all there is of them is here; empty: recorded before its name was.';
comment on column flowstone.item_sets.unneeded is
    'Null while somebody may need them; else how often they were handed out, for their values to be deleted.';

create index item_sets_unneeded on flowstone.item_sets (asset, unneeded) where unneeded is not null;

update flowstone.item_sets set
    io = coalesce((
        select made.io from flowstone.materializations as made
        where made.run_id = item_sets.run_id and made.asset = item_sets.asset and made.key = item_sets.key
            and made.status = 'succeeded'), ''),
    unneeded = case when not exists (select from flowstone.runs where runs.id = item_sets.run_id) and not exists (
        select from flowstone.materializations as made
        where made.run_id = item_sets.run_id and made.asset = item_sets.asset and made.key = item_sets.key
            and made.status = 'succeeded') then 0 end;
