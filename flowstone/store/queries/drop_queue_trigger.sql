drop trigger queue_changed on flowstone.queue
