select items.position, items.status from flowstone.item_sets join flowstone.items on items.set_id = item_sets.id
where item_sets.run_id = $1 and item_sets.asset = $2 and item_sets.key = $3 and items.position > $4
order by items.position limit $5
