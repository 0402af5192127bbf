#!/usr/bin/env node
// Committed, not built: npm links a bin at install time, and dist/ does not exist yet then.
import '../dist/bin.js'
