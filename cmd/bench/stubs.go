package main

import "context"

func measureNth(ctx context.Context, l *lab) error        { return nil }
func measureDuplicates(ctx context.Context, l *lab) error { return nil }
func measureBoards(ctx context.Context, l *lab) error     { return nil }
func measureGrowth(ctx context.Context, l *lab) error     { return nil }
