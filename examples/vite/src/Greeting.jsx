import { useState } from 'react';

export function Greeting() {
  const [count, setCount] = useState(0);
  return (
    <main>
      <h1>Hello from Vite</h1>
      <button onClick={() => setCount(count + 1)}>clicked {count} times</button>
    </main>
  );
}
