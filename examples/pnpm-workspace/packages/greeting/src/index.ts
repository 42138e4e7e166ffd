/** A line that greets. */
export const greeting = (from: string): string => `Hello from ${from}\n`;
