package main

import (
	"context"
)

// measureWeb compares a web action with a blocking invocation of the same action, on
// one connection, in interleaved rounds.
func measureWeb(ctx context.Context, p plan, s *server, results *report) error {
	const name = "web"
	for _, l := range languages {
		if _, err := s.put(ctx, name, l.action.Annotated("web-export", true)); err != nil {
			return err
		}
		invoke := func(ctx context.Context, _ int) error { return s.invoke(ctx, name) }
		visit := func(ctx context.Context, _ int) error {
			return post(ctx, s.client, s.url+"/api/v1/web/guest/default/"+name+".json", "", "", `{"name":"bench"}`)
		}
		// Everything warm before the first round that counts.
		for _, send := range []call{invoke, visit} {
			if _, err := closedLoop(ctx, 1, p.requests/4+1, send); err != nil {
				return err
			}
		}
		var blocking, web figures
		for range p.rounds {
			for _, mode := range []struct {
				send call
				to   *figures
			}{{invoke, &blocking}, {visit, &web}} {
				sampled, err := closedLoop(ctx, 1, p.requests, mode.send)
				if err != nil {
					return err
				}
				mode.to.add(sampled)
			}
		}
		low, high := median(blocking.quantile["p50"]), median(web.quantile["p50"])
		results.add(l.name+", c=1, web action, p50", high, "ms")
		results.atMost(l.name+", c=1, web action over blocking call, p50", high-low, "ms", 0.2)
	}
	return nil
}
