package web

import (
	"net/url"

	"github.com/labstack/echo/v4"
)

// PathID is the id in the path, whichever of its characters were escaped there. What cannot be unescaped stays as it is, with a
// percent sign, which no id has.
func PathID(c echo.Context) string {
	id := c.Param("id")
	if c.Request().URL.RawPath == "" { // echo has matched the unescaped path
		return id
	}
	if plain, err := url.PathUnescape(id); err == nil {
		return plain
	}
	return id
}
