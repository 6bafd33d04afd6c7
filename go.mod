module photofinish

go 1.26

require (
	github.com/goccy/go-yaml v1.19.2 // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
)
