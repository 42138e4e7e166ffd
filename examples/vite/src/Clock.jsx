import { useQuery } from '@tanstack/react-query';

async function clock() {
  const answer = await fetch('/');
  return { at: answer.headers.get('date') };
}

export function Clock() {
  const { data, error } = useQuery({ queryKey: ['clock'], queryFn: clock });
  if (error) return <p>The server does not answer.</p>;
  return <p>{data ? `The server's clock says ${data.at}.` : 'Asking …'}</p>;
}
