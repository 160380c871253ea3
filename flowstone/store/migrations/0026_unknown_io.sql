-- A node of an older release, which does not name the IO manager, may record items while nodes are upgraded one at a time.

alter table flowstone.item_sets alter column io set default '';
