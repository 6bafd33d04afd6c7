package rules

// AllocationState is how far a purchase attempt has come.
type AllocationState string

// The states that a settlement gives. Delivery adds what the services answer.
const (
	Reserved AllocationState = "reserved" // a unit is kept for the attempt
	SoldOut  AllocationState = "sold_out" // the stock was gone before it
	Declined AllocationState = "declined" // refused, with the reason in words
)
