/** A wrong option; its message is for the person who typed it. */
export class UsageError extends Error {}
