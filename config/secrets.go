package config

import "reflect"

// hasSecret reports whether a value has a [Secret] that is not empty.
func hasSecret(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Type() == reflect.TypeFor[Secret]() && v.Len() > 0
	case reflect.Struct:
		for i := range v.NumField() {
			if hasSecret(v.Field(i)) {
				return true
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if hasSecret(entries.Value()) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if hasSecret(v.Index(i)) {
				return true
			}
		}
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && hasSecret(v.Elem())
	}
	return false
}
