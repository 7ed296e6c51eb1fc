package apidoc

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gowhisk/gowhisk/controller/api"
)

// Register adds the routes, which need no credentials: the description at
// api-docs, the page at docs/index.html, both also below /api/v1.
func Register(r *gin.Engine, front *api.API) {
	for _, prefix := range []string{"", "/api/v1"} {
		r.GET(prefix+"/api-docs", front.Serve(serveJSON))
		r.GET(prefix+"/docs", front.Serve(func(x *api.Exchange) error {
			// Relative, so that it also holds behind a proxy with a prefix.
			x.Header().Set("Location", "docs/index.html?url="+prefix+"/api-docs")
			x.Writer().WriteHeader(http.StatusPermanentRedirect)
			return nil
		}))
		r.GET(prefix+"/docs/index.html", front.Serve(servePage))
	}
}

func serveJSON(x *api.Exchange) error {
	d, err := load()
	if err != nil {
		return err
	}
	x.WriteJSON(http.StatusOK, d.json)
	return nil
}

func servePage(x *api.Exchange) error {
	d, err := load()
	if err != nil {
		return err
	}
	h := x.Header()
	h.Set("Content-Type", "text/html; charset=UTF-8")
	h.Set("Content-Security-Policy", d.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	x.Writer().WriteHeader(http.StatusOK)
	_, _ = x.Writer().Write(d.page) // the client may have gone; nobody is left to tell
	return nil
}
