package secrets

// ParseEnv lets tests read a text without a file.
var ParseEnv = parseEnv
