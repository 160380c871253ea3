select feed.id, greatest(feed.last - feed.first, 0) as more from flowstone.feed order by feed.id desc limit 1
