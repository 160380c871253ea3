select location from flowstone.payloads where location = $1
