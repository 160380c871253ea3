select content from flowstone.payloads where location = $1
