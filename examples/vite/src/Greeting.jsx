import { useState } from 'react';

export function Greeting() {
  const [count, setCount] = useState(0);
  return (
    <main className="p-8">
      <h1 className="text-2xl">Hello from Vite</h1>
      <button className="rounded border px-2" onClick={() => setCount(count + 1)}>
        clicked {count} times
      </button>
    </main>
  );
}
